extension/pg/subxact.o: extension/pg/subxact.cpp extension/pg/subxact.hpp \
 extension/pg/guard.hpp extension/core/error.hpp \
 extension/core/error_codes.hpp extension/pg/pg.hpp \
 extension/pg/compat.hpp
extension/pg/subxact.hpp:
extension/pg/guard.hpp:
extension/core/error.hpp:
extension/core/error_codes.hpp:
extension/pg/pg.hpp:
extension/pg/compat.hpp:

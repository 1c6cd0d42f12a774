extension/pg/guard.o: extension/pg/guard.cpp extension/pg/guard.hpp \
 extension/core/error.hpp extension/core/error_codes.hpp \
 extension/pg/pg.hpp extension/pg/compat.hpp
extension/pg/guard.hpp:
extension/core/error.hpp:
extension/core/error_codes.hpp:
extension/pg/pg.hpp:
extension/pg/compat.hpp:

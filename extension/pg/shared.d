extension/pg/shared.o: extension/pg/shared.cpp extension/pg/shared.hpp \
 extension/pg/guard.hpp extension/core/error.hpp \
 extension/core/error_codes.hpp extension/pg/pg.hpp \
 extension/pg/compat.hpp
extension/pg/shared.hpp:
extension/pg/guard.hpp:
extension/core/error.hpp:
extension/core/error_codes.hpp:
extension/pg/pg.hpp:
extension/pg/compat.hpp:

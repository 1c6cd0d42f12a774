extension/pg/xact.o: extension/pg/xact.cpp extension/pg/xact.hpp \
 extension/pg/guard.hpp extension/core/error.hpp \
 extension/core/error_codes.hpp extension/pg/pg.hpp \
 extension/pg/compat.hpp
extension/pg/xact.hpp:
extension/pg/guard.hpp:
extension/core/error.hpp:
extension/core/error_codes.hpp:
extension/pg/pg.hpp:
extension/pg/compat.hpp:

extension/init.o: extension/init.cpp extension/pg/guc.hpp \
 extension/pg/pg.hpp extension/pg/compat.hpp extension/pg/shared.hpp \
 extension/pg/guard.hpp extension/core/error.hpp \
 extension/core/error_codes.hpp
extension/pg/guc.hpp:
extension/pg/pg.hpp:
extension/pg/compat.hpp:
extension/pg/shared.hpp:
extension/pg/guard.hpp:
extension/core/error.hpp:
extension/core/error_codes.hpp:

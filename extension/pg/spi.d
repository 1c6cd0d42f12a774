extension/pg/spi.o: extension/pg/spi.cpp extension/pg/spi.hpp \
 extension/pg/value.hpp extension/core/types.hpp extension/pg/guard.hpp \
 extension/core/error.hpp extension/core/error_codes.hpp \
 extension/pg/pg.hpp extension/pg/compat.hpp extension/pg/guc.hpp
extension/pg/spi.hpp:
extension/pg/value.hpp:
extension/core/types.hpp:
extension/pg/guard.hpp:
extension/core/error.hpp:
extension/core/error_codes.hpp:
extension/pg/pg.hpp:
extension/pg/compat.hpp:
extension/pg/guc.hpp:

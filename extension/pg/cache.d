extension/pg/cache.o: extension/pg/cache.cpp extension/pg/cache.hpp \
 extension/pg/spi.hpp extension/pg/value.hpp extension/core/types.hpp \
 extension/pg/guard.hpp extension/core/error.hpp \
 extension/core/error_codes.hpp extension/pg/pg.hpp \
 extension/pg/compat.hpp
extension/pg/cache.hpp:
extension/pg/spi.hpp:
extension/pg/value.hpp:
extension/core/types.hpp:
extension/pg/guard.hpp:
extension/core/error.hpp:
extension/core/error_codes.hpp:
extension/pg/pg.hpp:
extension/pg/compat.hpp:

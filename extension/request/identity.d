extension/request/identity.o: extension/request/identity.cpp \
 extension/request/identity.hpp extension/core/types.hpp \
 extension/core/error.hpp extension/core/error_codes.hpp \
 extension/identity/tokens.hpp extension/pg/args.hpp \
 extension/pg/value.hpp extension/pg/guard.hpp extension/pg/pg.hpp \
 extension/pg/compat.hpp extension/pg/cache.hpp extension/pg/spi.hpp \
 extension/pg/result.hpp extension/pg/xact.hpp
extension/request/identity.hpp:
extension/core/types.hpp:
extension/core/error.hpp:
extension/core/error_codes.hpp:
extension/identity/tokens.hpp:
extension/pg/args.hpp:
extension/pg/value.hpp:
extension/pg/guard.hpp:
extension/pg/pg.hpp:
extension/pg/compat.hpp:
extension/pg/cache.hpp:
extension/pg/spi.hpp:
extension/pg/result.hpp:
extension/pg/xact.hpp:

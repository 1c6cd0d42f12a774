extension/request/context.o: extension/request/context.cpp \
 extension/core/error.hpp extension/core/error_codes.hpp \
 extension/pg/args.hpp extension/pg/value.hpp extension/core/types.hpp \
 extension/pg/guard.hpp extension/pg/pg.hpp extension/pg/compat.hpp \
 extension/pg/xact.hpp extension/request/identity.hpp
extension/core/error.hpp:
extension/core/error_codes.hpp:
extension/pg/args.hpp:
extension/pg/value.hpp:
extension/core/types.hpp:
extension/pg/guard.hpp:
extension/pg/pg.hpp:
extension/pg/compat.hpp:
extension/pg/xact.hpp:
extension/request/identity.hpp:

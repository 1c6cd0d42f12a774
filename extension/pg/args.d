extension/pg/args.o: extension/pg/args.cpp extension/pg/args.hpp \
 extension/pg/value.hpp extension/core/types.hpp extension/pg/guard.hpp \
 extension/core/error.hpp extension/core/error_codes.hpp \
 extension/pg/pg.hpp extension/pg/compat.hpp
extension/pg/args.hpp:
extension/pg/value.hpp:
extension/core/types.hpp:
extension/pg/guard.hpp:
extension/core/error.hpp:
extension/core/error_codes.hpp:
extension/pg/pg.hpp:
extension/pg/compat.hpp:

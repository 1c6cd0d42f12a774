extension/operations/errors.o: extension/operations/errors.cpp \
 extension/core/error_codes.hpp extension/pg/args.hpp \
 extension/pg/value.hpp extension/core/types.hpp extension/pg/guard.hpp \
 extension/core/error.hpp extension/pg/pg.hpp extension/pg/compat.hpp \
 extension/pg/result.hpp extension/pg/spi.hpp
extension/core/error_codes.hpp:
extension/pg/args.hpp:
extension/pg/value.hpp:
extension/core/types.hpp:
extension/pg/guard.hpp:
extension/core/error.hpp:
extension/pg/pg.hpp:
extension/pg/compat.hpp:
extension/pg/result.hpp:
extension/pg/spi.hpp:

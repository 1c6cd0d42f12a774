extension/core/jwt.o: extension/core/jwt.cpp extension/core/jwt.hpp \
 extension/core/json.hpp extension/core/encoding.hpp \
 extension/core/error.hpp extension/core/error_codes.hpp
extension/core/jwt.hpp:
extension/core/json.hpp:
extension/core/encoding.hpp:
extension/core/error.hpp:
extension/core/error_codes.hpp:

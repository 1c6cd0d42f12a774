extension/core/jwt_key.o: extension/core/jwt_key.cpp \
 extension/core/digest.hpp extension/core/encoding.hpp \
 extension/core/error.hpp extension/core/error_codes.hpp \
 extension/core/jwt.hpp extension/core/json.hpp extension/core/random.hpp
extension/core/digest.hpp:
extension/core/encoding.hpp:
extension/core/error.hpp:
extension/core/error_codes.hpp:
extension/core/jwt.hpp:
extension/core/json.hpp:
extension/core/random.hpp:

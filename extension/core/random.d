extension/core/random.o: extension/core/random.cpp \
 extension/core/random.hpp extension/core/encoding.hpp \
 extension/core/error.hpp extension/core/error_codes.hpp
extension/core/random.hpp:
extension/core/encoding.hpp:
extension/core/error.hpp:
extension/core/error_codes.hpp:

extension/core/digest.o: extension/core/digest.cpp \
 extension/core/digest.hpp extension/core/error.hpp \
 extension/core/error_codes.hpp
extension/core/digest.hpp:
extension/core/error.hpp:
extension/core/error_codes.hpp:

extension/core/error_codes.o: extension/core/error_codes.cpp \
 extension/core/error_codes.hpp
extension/core/error_codes.hpp:

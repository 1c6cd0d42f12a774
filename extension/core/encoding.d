extension/core/encoding.o: extension/core/encoding.cpp \
 extension/core/encoding.hpp
extension/core/encoding.hpp:

extension/core/utf8.o: extension/core/utf8.cpp extension/core/utf8.hpp
extension/core/utf8.hpp:

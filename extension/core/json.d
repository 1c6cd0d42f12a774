extension/core/json.o: extension/core/json.cpp extension/core/json.hpp \
 extension/core/utf8.hpp
extension/core/json.hpp:
extension/core/utf8.hpp:

extension/core/types.o: extension/core/types.cpp extension/core/types.hpp
extension/core/types.hpp:

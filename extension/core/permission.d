extension/core/permission.o: extension/core/permission.cpp \
 extension/core/permission.hpp extension/core/types.hpp
extension/core/permission.hpp:
extension/core/types.hpp:

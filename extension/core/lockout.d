extension/core/lockout.o: extension/core/lockout.cpp \
 extension/core/lockout.hpp
extension/core/lockout.hpp:

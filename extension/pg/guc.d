extension/pg/guc.o: extension/pg/guc.cpp extension/pg/guc.hpp \
 extension/pg/pg.hpp extension/pg/compat.hpp
extension/pg/guc.hpp:
extension/pg/pg.hpp:
extension/pg/compat.hpp:

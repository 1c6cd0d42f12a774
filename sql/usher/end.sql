SELECT usher.finish_extension(derived => '{usher.role_graph,usher._schema_objects,usher._watched_columns}');

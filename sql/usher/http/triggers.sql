SELECT usher._announce_changes('usher.routes', 'routes_inval');

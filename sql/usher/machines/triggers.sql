SELECT usher._announce_changes('usher.machines', 'machine_inval');

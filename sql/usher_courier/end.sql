SELECT usher.finish_extension();

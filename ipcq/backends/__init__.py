"""Where tasks can live; one room for each kind of backend."""

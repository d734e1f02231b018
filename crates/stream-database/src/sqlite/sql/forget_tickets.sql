DELETE FROM "{name}_completed" WHERE ticket < ?1

-- Changes nothing, and fails where nothing can be changed.
DELETE FROM {versions} WHERE false

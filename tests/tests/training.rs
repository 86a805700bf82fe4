//! Placeholder: see the folder of the same name.

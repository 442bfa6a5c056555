//! Validated names. A name never becomes a path; paths come from internal ids.

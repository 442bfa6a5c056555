//! Every bound of the platform with the reason for its number.

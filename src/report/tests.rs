//! The report says the same in every form.

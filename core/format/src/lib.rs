//! The Format tree, the Plan, events and the family manifest, as pure data.

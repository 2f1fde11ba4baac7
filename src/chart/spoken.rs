//! Numbers of a picture that waits in a journal: JSON has no infinities, so such numbers are kept as words.

/// One number.
pub(super) mod number {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::chart) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        value.to_string().serialize(serializer)
    }

    pub(in crate::chart) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom(format!("{text:?} is no number")))
    }
}

/// Both ends of an interval.
pub(super) mod ends {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(in crate::chart) fn serialize<S: Serializer>(
        ends: &Option<(f64, f64)>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        ends.map(|(low, high)| (low.to_string(), high.to_string())).serialize(serializer)
    }

    pub(in crate::chart) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<(f64, f64)>, D::Error> {
        let Some((low, high)) = Option::<(String, String)>::deserialize(deserializer)? else { return Ok(None) };
        let number = |text: &str| text.parse().map_err(|_| D::Error::custom(format!("{text:?} is no number")));
        Ok(Some((number(&low)?, number(&high)?)))
    }
}

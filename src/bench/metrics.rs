//! Reading what a receiver's metrics say.

/// The value of a metric without labels.
pub(super) fn value(text: &str, name: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// A quantile of a histogram without labels, taken evenly within its bucket; `None` when it counted nothing. What lies
/// above the last bound is told as infinite.
pub(super) fn quantile(text: &str, name: &str, part: f64) -> Option<f64> {
    let begin = format!("{name}_bucket{{le=\"");
    let buckets: Vec<(f64, f64)> = text
        .lines()
        .filter_map(|line| line.strip_prefix(&begin)?.split_once("\"} "))
        .filter_map(|(bound, count)| Some((bound.parse().ok()?, count.parse().ok()?)))
        .collect();
    let total = buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
    let wanted = total * part;
    let (mut bound_below, mut count_below) = (0.0, 0.0);
    for (bound, count) in buckets {
        if count >= wanted {
            let within = (wanted - count_below) / (count - count_below);
            return Some(if bound.is_finite() {
                bound_below + (bound - bound_below) * within
            } else {
                bound
            });
        }
        (bound_below, count_below) = (bound, count);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "lag_bucket{le=\"0.1\"} 50\nlag_bucket{le=\"0.2\"} 90\nlag_bucket{le=\"+Inf\"} 100\n\
                        lag_sum 4\nlag_count 100\nwaiting 7\nwaiting_long 8\n";

    #[test]
    fn a_value_is_that_of_the_whole_name() {
        assert_eq!(value(TEXT, "waiting"), Some(7.0));
        assert_eq!(value(TEXT, "wait"), None);
    }

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        assert_eq!(quantile(TEXT, "lag", 0.25), Some(0.05));
        let upper = quantile(TEXT, "lag", 0.7).unwrap();
        assert!((upper - 0.15).abs() < 1e-9, "{upper}");
        assert_eq!(quantile(TEXT, "lag", 0.99), Some(f64::INFINITY));
        assert_eq!(quantile("lag_bucket{le=\"+Inf\"} 0\n", "lag", 0.99), None);
    }
}

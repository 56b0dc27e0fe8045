//! Numbers as OpenMetrics text, which Prometheus and others collect: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::fmt::{Display, Write as _};

/// A text of metrics, family by family. All are gauges: what is so at the moment when somebody asks.
#[derive(Default)]
pub struct Metrics(String);

impl Metrics {
    /// Adds a family, unless it has no samples. `unit` is the end of its name too, or empty.
    pub fn family<V: Display>(
        &mut self,
        name: &str,
        unit: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Vec<(&'static str, String)>, V)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let name = if unit.is_empty() { name.to_owned() } else { format!("{name}_{unit}") };
        self.line(format_args!("# TYPE {name} gauge"));
        if !unit.is_empty() {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
        self.line(format_args!("# HELP {name} {help}"));
        for (labels, value) in samples {
            let labels: Vec<String> =
                labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
            match labels.is_empty() {
                true => self.line(format_args!("{name} {value}")),
                false => self.line(format_args!("{name}{{{}}} {value}", labels.join(","))),
            }
        }
    }

    /// The text, which its last line says to be whole.
    pub fn text(mut self) -> String {
        self.line(format_args!("# EOF"));
        self.0
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Nothing fails that writes to a text.
        let _ = writeln!(self.0, "{line}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_their_lines_together_and_labels_are_escaped() {
        let mut metrics = Metrics::default();
        metrics.family("zvfs_x", "bytes", "What there is.", [(vec![("name", "a\\b\"c\nd".to_owned())], 7)]);
        metrics.family(
            "zvfs_y",
            "",
            "How many.",
            [(vec![], 0.5), (vec![("a", "1".into()), ("b", "2".into())], 2.0)],
        );
        metrics.family::<u64>("zvfs_none", "", "Nothing.", []);
        let text = metrics.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "# TYPE zvfs_x_bytes gauge",
                "# UNIT zvfs_x_bytes bytes",
                "# HELP zvfs_x_bytes What there is.",
                r#"zvfs_x_bytes{name="a\\b\"c\nd"} 7"#,
                "# TYPE zvfs_y gauge",
                "# HELP zvfs_y How many.",
                "zvfs_y 0.5",
                r#"zvfs_y{a="1",b="2"} 2"#,
                "# EOF",
            ]
        );
        assert!(text.ends_with("# EOF\n"));
    }
}

//! Costs over sizes: measured, fitted and drawn.

use std::error::Error;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Each size is measured so often, or for so long, and the fastest counts: what is asked for is what it costs, not what disturbed it.
const TIMES: usize = 7;
const LONGEST: Duration = Duration::from_secs(10);

/// A cost over a size.
pub struct Curve {
    /// As it is chosen on the command line.
    name: &'static str,
    /// What is done to so many of what.
    what: &'static str,
    /// The slope that it may have.
    most: f64,
    /// Sizes, and seconds for all of it.
    points: Vec<(f64, f64)>,
}

impl Curve {
    /// Measures a curve, if it is wanted. `step` prepares a size and gives what is timed.
    ///
    /// # Errors
    /// What the step or what it gave failed with, and at which size.
    pub fn measure<'a, T: FnMut() -> Result<(), Box<dyn Error + Send + Sync>> + 'a>(
        wanted: &dyn Fn(&str) -> bool,
        (name, what, most): (&'static str, &'static str, f64),
        sizes: &[u64],
        mut step: impl FnMut(u64) -> Result<T, Box<dyn Error + Send + Sync>>,
    ) -> Result<Option<Curve>, Box<dyn Error + Send + Sync>> {
        if !wanted(name) {
            return Ok(None);
        }
        println!("\n{name}: {what}");
        let mut curve = Curve { name, what, most, points: Vec::new() };
        for &size in sizes {
            let mut run = step(size).map_err(|error| format!("{name}, {size}: {error}"))?;
            let (begun, mut best) = (Instant::now(), f64::MAX);
            for _ in 0..TIMES {
                let start = Instant::now();
                run().map_err(|error| format!("{name}, {size}: {error}"))?;
                best = best.min(start.elapsed().as_secs_f64());
                if begun.elapsed() > LONGEST {
                    break;
                }
            }
            println!("{size:>16} {:>14} {:>14} each", time(best), time(best / size as f64));
            curve.points.push((size as f64, best));
        }
        println!("{:>16} {:.2}, at most {most:.1}{}", "slope", curve.slope(), curve.verdict());
        Ok(Some(curve))
    }

    /// By the sizes of the last two decades: below them what does not grow decides.
    fn slope(&self) -> f64 {
        let last = self.points.last().map_or(0.0, |point| point.0);
        let points: Vec<(f64, f64)> =
            self.points.iter().filter(|point| point.0 * 101.0 > last).copied().collect();
        let logs = points.iter().map(|(size, time)| (size.ln(), time.ln()));
        let count = points.len() as f64;
        let (x, y) =
            logs.clone().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
        let (above, below) = logs.fold((0.0, 0.0), |sum, point| {
            (sum.0 + (point.0 - x) * (point.1 - y), sum.1 + (point.0 - x).powi(2))
        });
        above / below
    }

    fn verdict(&self) -> &'static str {
        if self.slope() > self.most + 0.15 { ": GROWS FASTER THAN IT MUST" } else { "" }
    }
}

/// A time with three digits and its unit.
fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        seconds if seconds < 1e-6 => (seconds * 1e9, "ns"),
        seconds if seconds < 1e-3 => (seconds * 1e6, "us"),
        seconds if seconds < 1.0 => (seconds * 1e3, "ms"),
        seconds => (seconds, "s"),
    };
    match value {
        value if value < 10.0 => format!("{value:.2} {unit}"),
        value if value < 100.0 => format!("{value:.1} {unit}"),
        value => format!("{value:.0} {unit}"),
    }
}

/// All curves, small ones side by side, both axes logarithmic; the thin line has the slope that a curve may have.
pub fn picture(curves: &[Curve]) -> String {
    const WIDTH: f64 = 300.0;
    const HEIGHT: f64 = 200.0;
    const MARGIN: f64 = 50.0;
    let rows = curves.len().div_ceil(3);
    let (width, height) = ((WIDTH + MARGIN) * 3.0, (HEIGHT + MARGIN) * rows as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (at, curve) in curves.iter().enumerate() {
        let (left, top) =
            ((at % 3) as f64 * (WIDTH + MARGIN) + MARGIN, (at / 3) as f64 * (HEIGHT + MARGIN) + 25.0);
        let range = |values: &mut dyn Iterator<Item = f64>| {
            let (low, high) =
                values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
            (low.log10().floor(), high.log10().ceil().max(low.log10().floor() + 1.0))
        };
        let (x_low, x_high) = range(&mut curve.points.iter().map(|point| point.0));
        let (y_low, y_high) = range(&mut curve.points.iter().map(|point| point.1));
        let x = |size: f64| left + (size.log10() - x_low) / (x_high - x_low) * WIDTH;
        let y = |time: f64| top + HEIGHT - 20.0 - (time.log10() - y_low) / (y_high - y_low) * (HEIGHT - 20.0);
        let _ = writeln!(svg, "<g><title>{}</title>", curve.what);
        let _ = writeln!(
            svg,
            "<text x=\"{left}\" y=\"{}\">{}: slope {:.2}</text>",
            top - 8.0,
            curve.name,
            curve.slope()
        );
        let _ = writeln!(
            svg,
            "<path d=\"M{left} {top}V{}H{}\" fill=\"none\" stroke=\"gray\"/>",
            top + HEIGHT - 20.0,
            left + WIDTH
        );
        let ends = [curve.points.first(), curve.points.last()];
        for (size, took) in ends.into_iter().flatten() {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{size}</text>",
                x(*size),
                top + HEIGHT - 6.0
            );
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 4.0,
                y(*took),
                time(*took)
            );
        }
        if let [Some((size, took)), Some((last, _))] = ends {
            let reached = took * (last / size).powf(curve.most);
            let _ = writeln!(
                svg,
                "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"silver\"/>",
                x(*size),
                y(*took),
                x(*last),
                y(reached).max(top)
            );
        }
        let line: Vec<String> =
            curve.points.iter().map(|(size, took)| format!("{:.1} {:.1}", x(*size), y(*took))).collect();
        let _ = writeln!(
            svg,
            "<path d=\"M{}\" fill=\"none\" stroke=\"black\" stroke-width=\"1.5\"/></g>",
            line.join("L")
        );
    }
    svg + "</svg>\n"
}

//! What the demo tells: a line a step while it runs, and a summary at the end.

use std::path::Path;

use serde::Serialize;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::printer::{self, Output};

/// Everything `kennel demo --output json` prints.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Share of test pictures classified right, 0 to 1.
    pub test_accuracy: Option<f64>,
    total_secs: f64,
    steps: Vec<Step>,
    files: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bill: Option<Bill>,
    #[serde(skip)]
    started: Instant,
}

#[derive(Debug, Serialize)]
struct Step {
    name: &'static str,
    status: Status,
    secs: f64,
    /// What it did, or why it could not run.
    detail: String,
    #[serde(skip)]
    started: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Running,
    Done,
    Skipped,
}

/// What the same would have cost on AWS.
#[derive(Debug, Serialize)]
pub struct Bill {
    pub instance_type: String,
    pub training_secs: f64,
    pub hosting_secs: f64,
    /// Absent where the price is unknown.
    pub training_usd: Option<f64>,
    pub hosting_usd: Option<f64>,
    pub price_training: String,
    pub price_hosting: String,
}

/// Names a step under way.
#[derive(Debug, Clone, Copy)]
pub struct StepId(usize);

impl Report {
    pub fn start() -> Self {
        Self {
            test_accuracy: None,
            total_secs: 0.0,
            steps: Vec::new(),
            files: Vec::new(),
            bill: None,
            started: Instant::now(),
        }
    }

    pub fn note(&self, line: &str) {
        printer::remark(line);
    }

    pub fn begin(&mut self, name: &'static str) -> StepId {
        printer::remark(&format!("{}. {name}", self.steps.len() + 1));
        self.steps.push(Step {
            name,
            status: Status::Running,
            secs: 0.0,
            detail: String::new(),
            started: Instant::now(),
        });
        StepId(self.steps.len() - 1)
    }

    pub fn done(&mut self, step: StepId, detail: &str) {
        self.end(step, Status::Done, detail);
    }

    pub fn skipped(&mut self, step: StepId, reason: &str) {
        self.end(step, Status::Skipped, reason);
    }

    fn end(&mut self, step: StepId, status: Status, detail: &str) {
        let Some(step) = self.steps.get_mut(step.0) else { return };
        step.secs = step.started.elapsed().as_secs_f64();
        step.status = status;
        detail.clone_into(&mut step.detail);
        let skipped = if status == Status::Skipped { "skipped: " } else { "" };
        printer::remark(&format!("   {skipped}{detail} ({:.1} s)", step.secs));
    }

    pub fn file(&mut self, path: &Path) {
        self.files.push(path.display().to_string());
    }

    pub fn bill(&mut self, bill: Bill) {
        self.bill = Some(bill);
    }

    /// Seconds from the beginning of one step to the beginning of a later one.
    pub fn secs_between(&self, from: &str, to: &str) -> f64 {
        let start = |name: &str| self.steps.iter().find(|step| step.name == name);
        match (start(from), start(to)) {
            (Some(from), Some(to)) => (to.started - from.started).as_secs_f64(),
            _ => 0.0,
        }
    }

    pub fn print(mut self, output: Output) -> Result<(), Failure> {
        self.total_secs = self.started.elapsed().as_secs_f64();
        if output == Output::Json {
            return printer::json(&self);
        }
        let rows: Vec<Vec<String>> = self
            .steps
            .iter()
            .map(|step| {
                let secs = format!("{:.1} s", step.secs);
                let skipped = if step.status == Status::Skipped { "skipped: " } else { "" };
                vec![step.name.to_owned(), secs, format!("{skipped}{}", step.detail)]
            })
            .collect();
        printer::data("")?;
        printer::table(&["STEP", "TIME", "WHAT"], &rows)?;
        printer::data("")?;
        if let Some(accuracy) = self.test_accuracy {
            printer::data(&format!("test accuracy  {:.1} %", accuracy * 100.0))?;
        }
        printer::data(&format!("total time     {:.1} s", self.total_secs))?;
        if let Some(bill) = &self.bill {
            printer::data(&format!("on AWS         {}", bill.sentence()))?;
        }
        printer::data("look at")?;
        for file in &self.files {
            printer::data(&format!("  {file}"))?;
        }
        Ok(())
    }
}

impl Bill {
    fn sentence(&self) -> String {
        let part = |secs: f64, usd: Option<f64>, what: &str, price: &str| match usd {
            Some(usd) => format!("${usd:.4} for {secs:.0} s of {what} at {price}"),
            None => format!("{secs:.0} s of {what}, {price}"),
        };
        format!(
            "{}; {} ({})",
            part(self.training_secs, self.training_usd, "training", &self.price_training),
            part(self.hosting_secs, self.hosting_usd, "hosting", &self.price_hosting),
            self.instance_type
        )
    }
}

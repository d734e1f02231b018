//! Plain tables for the terminal: the first columns of words to the left, numbers to the right.

/// Lays out rows under a header; a column is a column of numbers when its header says so with a `>`.
pub(crate) fn render(header: &[&str], rows: &[Vec<String>]) -> String {
    let titles: Vec<&str> = header.iter().map(|title| title.trim_start_matches('>')).collect();
    let widths: Vec<usize> =
        titles.iter().enumerate().map(|(column, title)| width(column, title, rows)).collect();
    let line = |cells: Vec<&str>| -> String {
        let cells = cells.iter().zip(&widths).zip(header).map(|((cell, &width), title)| {
            if title.starts_with('>') { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let body = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    [line(titles)].into_iter().chain(body).collect()
}

fn width(column: usize, title: &str, rows: &[Vec<String>]) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
    cells.chain([title.len()]).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_left_and_numbers_right() {
        let rows = [vec!["memory".into(), "3".into()], vec!["sqs".into(), "120".into()]];
        assert_eq!(render(&["driver", ">passed"], &rows), "driver  passed\nmemory       3\nsqs        120\n");
    }
}

use super::*;

fn read(name: &str, bytes: &[u8], options: &ColumnOptions) -> Result<DataFile, DataError> {
    DataFile::parse(Path::new(name), name.to_owned(), bytes, None, options)
}

fn guessed(name: &str, content: &str) -> DataFile {
    read(name, content.as_bytes(), &ColumnOptions::default()).expect("readable")
}

fn told(text: &str, label: &str) -> ColumnOptions {
    let column = |name: &str| name.parse::<ColumnRef>().ok();
    ColumnOptions { text: column(text), label: column(label), ..ColumnOptions::default() }
}

fn pairs(file: &DataFile) -> Vec<(&str, &str)> {
    file.examples.iter().map(|e| (e.texts[0].as_str(), e.labels()[0].as_str())).collect()
}

#[test]
fn one_table_reads_the_same_from_all_three_formats() {
    let files = [
        guessed("a.csv", "text,label\n\"good, really\",1\nbad,0\n"),
        guessed("a.tsv", "label\ttext\n1\tgood, really\n0\tbad\n"),
        guessed(
            "a.jsonl",
            "{\"text\": \"good, really\", \"label\": 1}\n\n{\"label\": \"0\", \"text\": \"bad\"}\n",
        ),
    ];
    for file in files {
        assert_eq!(pairs(&file), [("good, really", "1"), ("bad", "0")]);
    }
}

#[test]
fn guesses_are_stated() {
    let text: Vec<String> =
        guessed("a.csv", "id,phrase,mood\n1,what a day,up\n2,oh no,down\n3,so so,up\n4,ha,up\n")
            .notices
            .iter()
            .map(ToString::to_string)
            .collect();
    insta::assert_snapshot!(text.join("\n"), @r"
    the first row holds the names of the columns
    column `mood` is the label: it has the fewest different values
    column `phrase` is the text: it has the longest values
    ");
}

#[test]
fn a_file_without_a_header_keeps_its_first_row() {
    let file = guessed("a.tsv", "up\twhat a day\ndown\toh no\nup\tha\ndown\tgrr\n");
    assert_eq!(pairs(&file)[0], ("what a day", "up"));
    assert_eq!(file.examples.len(), 4);
}

#[test]
fn columns_can_be_told_by_name_or_number() {
    let csv = "text,label,other\na,b,c\n".as_bytes();
    let other = read("a.csv", csv, &told("other", "1")).expect("readable");
    assert_eq!(pairs(&other), [("c", "a")]);
    assert!(other.notices.is_empty());
}

#[test]
fn a_quote_in_a_tsv_is_a_letter() {
    let file = guessed("a.tsv", "text\tlabel\n\"oh, he said\tx\nyes\ty\n");
    assert_eq!(pairs(&file), [("\"oh, he said", "x"), ("yes", "y")]);
}

#[test]
fn blank_rows_are_counted_and_skipped() {
    let file = guessed("a.csv", "text,label\n  ,x\nyes,y\nno, \n\n");
    assert_eq!(pairs(&file), [("yes", "y")]);
    assert_eq!(file.notices.last(), Some(&Notice::Skipped { blank_texts: 1, blank_labels: 1 }));
}

#[test]
fn every_refusal_names_the_file_and_the_line() {
    let none = ColumnOptions::default();
    let long = format!("text,label\nx,{}\n", "l".repeat(300));
    let cases: Vec<Result<DataFile, DataError>> = vec![
        read("a.csv", b"", &none),
        read("a.csv", b"text,label\n", &none),
        read("a.csv", b"text,label\n,x\n", &none),
        read("a.csv", b"text\nx\n", &none),
        read("a.csv", b"text,label\na,b\nc\n", &none),
        read("a.csv", b"text,label\na,b\n\xff,d\n", &none),
        read("a.csv", b"text,label\na,b\n", &told("sentence", "label")),
        read("a.csv", b"text,label\na,b\n", &told("9", "label")),
        read("a.csv", b"text,label\na,b\n", &told("text", "text")),
        read("a.csv", long.as_bytes(), &none),
        read("a.jsonl", b"{\"text\": \"a\", \"label\": 1}\n[1]\n", &none),
        read("a.jsonl", b"{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\"}\n", &none),
        read("a.xlsx", b"PK", &none),
    ];
    let messages: Vec<String> = cases.into_iter().map(|c| c.expect_err("refused").to_string()).collect();
    insta::assert_snapshot!(messages.join("\n"), @r#"
    `a.csv` has no examples: it is empty
    `a.csv` has no examples: it has a header and nothing else
    `a.csv` has no examples: every row lacks its text or its label
    `a.csv` has one column; an example needs a text and a label
    `a.csv`, line 3: the number of columns is 1, but 2 in the first row
    `a.csv`, line 3: not valid UTF-8; save the file with UTF-8 encoding
    `a.csv` has no column `sentence`; it has: text, label
    `a.csv` has no column `9`; it has: text, label
    `a.csv`: the column `text` can't be both the text and the label
    `a.csv`, line 2: the label "llllllllllllllllllllllllllllllllllllllll" is refused: a label has 1 to 200 bytes of plain text on one line
    `a.jsonl`, line 2: not a JSON object: it holds another kind of value
    `a.jsonl`, line 2: no text, number or boolean in the field `label`
    `a.xlsx` is of an unknown kind: its name must end in .csv, .tsv, .jsonl, .conll, .conllu, .json or .txt
    "#);
}

#[test]
fn labels_are_sorted_by_value_when_all_are_numbers_and_by_letters_otherwise() {
    let names = |content: &str| LabelSet::of(&guessed("a.csv", content)).expect("labels").names().to_vec();
    assert_eq!(names("text,label\na,10\nb,9\nc,-1\n"), ["-1", "9", "10"]);
    assert_eq!(names("text,label\na,10\nb,9\nc,none\n"), ["10", "9", "none"]);
}

#[test]
fn a_single_label_is_refused_and_an_unknown_one_is_named() {
    let one = LabelSet::of(&guessed("a.csv", "text,label\na,x\nb,x\n")).expect_err("one label");
    let labels = LabelSet::of(&guessed("a.csv", "text,label\na,x\nb,y\n")).expect("labels");
    let other = guessed("b.csv", "text,label\na,x\nb,z\n");
    let unknown = labels.ids(&other.name, &other.examples).expect_err("unknown");
    insta::assert_snapshot!(format!("{one}\n{unknown}"), @r"
    `a.csv` has a single label, `x`; a classifier needs at least two
    `b.csv`, line 3: the label `z` is unknown; known are: x, y
    ");
}

fn numbered(rows: usize) -> DataFile {
    let rows: Vec<String> = (0..rows).map(|i| format!("text {},{}", i % (rows - 10), i % 5)).collect();
    let rows = rows.join("\n");
    guessed("a.csv", &format!("text,label\n{rows}"))
}

#[test]
fn a_split_is_stratified_deterministic_and_keeps_equal_texts_together() {
    let file = numbered(1000);
    let (training, validation) = split(&file, 0.1, 7).expect("splits");
    assert_eq!(training.len() + validation.len(), 1000);
    for label in 0..5 {
        let count = validation.iter().filter(|e| e.labels() == [label.to_string()]).count();
        assert!((18..=22).contains(&count), "{count} of label {label}");
    }
    let texts = |examples: &[Example]| examples.iter().map(|e| e.texts[0].clone()).collect::<HashSet<_>>();
    assert!(texts(&training).is_disjoint(&texts(&validation)));
    assert_eq!(split(&file, 0.1, 7).expect("splits").1, validation);
    assert_ne!(split(&file, 0.1, 8).expect("splits").1, validation);
}

#[test]
fn a_split_does_not_depend_on_the_order_of_rows() {
    let file = numbered(200);
    let mut reversed = file.clone();
    reversed.examples.reverse();
    let lines = |file: &DataFile| {
        split(file, 0.2, 1).expect("splits").1.iter().map(|e| e.texts[0].clone()).collect::<HashSet<_>>()
    };
    assert_eq!(lines(&file), lines(&reversed));
}

#[test]
fn a_split_of_too_little_is_refused() {
    let tiny = guessed("a.csv", "text,label\na,x\nb,y\n");
    assert!(matches!(split(&tiny, 0.1, 0), Err(DataError::TooFew { .. })));
    assert!(matches!(split(&tiny, 1.0, 0), Err(DataError::Share(_))));
    let small = guessed("a.csv", "text,label\na,x\nb,y\nc,x\n");
    let (training, validation) = split(&small, 0.1, 0).expect("one text is set aside");
    assert_eq!((training.len(), validation.len()), (2, 1));
}

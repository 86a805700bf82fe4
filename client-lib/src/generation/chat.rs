//! Chat templates: the Jinja text with which an instruction model writes its turns.
//!
//! Rendered as `transformers` renders them: blocks trimmed, `raise_exception`, Python's methods of
//! texts. A template comes from strangers: its work is bounded, and it sees nothing but the messages.

use minijinja::{Environment, Error, ErrorKind, Value, context, syntax::SyntaxConfig};
use serde::Serialize;

/// Steps that a template may take.
const FUEL: u64 = 1_000_000;
/// Size of a template, in bytes.
const MAX_TEMPLATE: usize = 1 << 18;
/// The role of the model's own turns.
const ASSISTANT: &str = "assistant";

/// One turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
}

impl Message {
    /// What the user says.
    pub fn user(content: &str) -> Self {
        Self { role: "user".to_owned(), content: content.to_owned() }
    }

    /// What the model answers.
    pub fn assistant(content: &str) -> Self {
        Self { role: ASSISTANT.to_owned(), content: content.to_owned() }
    }
}

/// A template with the names of the special tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatTemplate {
    text: String,
    bos_token: String,
    eos_token: String,
}

/// Why a template can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// It is too large.
    #[error("the chat template has {0} bytes; up to {MAX_TEMPLATE} are read")]
    TooLarge(usize),
    /// It can't be read, or refuses the messages.
    #[error("the chat template can't be rendered: {0}; `--raw` gives the model the text as it is")]
    Render(String),
}

impl ChatTemplate {
    /// A template from a tokenizer's configuration.
    pub fn new(text: String, bos_token: String, eos_token: String) -> Result<Self, ChatError> {
        if text.len() > MAX_TEMPLATE {
            return Err(ChatError::TooLarge(text.len()));
        }
        Ok(Self { text, bos_token, eos_token })
    }

    /// The text that the model continues with its answer; where that is the last message, the whole text.
    pub fn render(&self, messages: &[Message]) -> Result<String, ChatError> {
        let wrong = |error: Error| ChatError::Render(error.to_string());
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(wrong)?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |text: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, text))
        });
        environment.add_template("chat", &self.text).map_err(wrong)?;
        let template = environment.get_template("chat").map_err(wrong)?;
        let turn = |message: &Message| context! { role => message.role.as_str(), content => message.content.as_str() };
        let turns: Vec<Value> = messages.iter().map(turn).collect();
        let rendered = template.render(context! {
            messages => turns,
            add_generation_prompt => messages.last().is_none_or(|last| last.role != ASSISTANT),
            bos_token => self.bos_token.as_str(),
            eos_token => self.eos_token.as_str(),
        });
        rendered.map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> Result<String, ChatError> {
        let template = ChatTemplate::new(text.to_owned(), "<s>".to_owned(), "</s>".to_owned())?;
        template.render(&[Message { role: "user".to_owned(), content: " hi ".to_owned() }])
    }

    #[test]
    fn turns_are_written_as_the_model_was_taught() {
        let chat_ml = "{% for message in messages %}\n{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}\n{% if add_generation_prompt %}\n{{ '<|im_start|>assistant\\n' }}{% endif %}";
        let expected = "<|im_start|>user\n hi <|im_end|>\n<|im_start|>assistant\n";
        assert_eq!(render(chat_ml).expect("rendered"), expected);
        let python = "{{ bos_token }}{% for m in messages %}{{ m.content.strip().upper() }}{{ eos_token }}{% endfor %}";
        assert_eq!(render(python).expect("rendered"), "<s>HI</s>");
    }

    #[test]
    fn a_template_that_refuses_or_does_not_end_is_an_error() {
        assert!(
            render("{{ raise_exception('roles must alternate') }}")
                .is_err_and(|e| e.to_string().contains("roles must alternate"))
        );
        assert!(
            render("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}").is_err()
        );
        assert!(render("{% for %}").is_err());
    }
}

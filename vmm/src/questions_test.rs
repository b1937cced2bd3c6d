use super::*;

#[test]
fn each_answer_comes_with_its_number_and_a_lost_question_is_refused() {
    let asker = Asker::new().unwrap();
    let (first, second, third) = (asker.reply(1), asker.reply(2), asker.reply(3));
    assert_eq!(asker.answers().count(), 0);
    second.give(Ok(Value::from(22)));
    drop(first);
    third.give(Err(Refusal("no".to_owned())));
    let answers: Vec<_> = asker.answers().collect();
    let ended = Refusal("the machine has ended".to_owned());
    assert_eq!(answers, [(2, Ok(Value::from(22))), (1, Err(ended)), (3, Err(Refusal("no".to_owned())))]);
    assert_eq!(asker.wake.read().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn an_answer_wakes_its_source_and_does_not_need_it() {
    let asker = Asker::new().unwrap();
    asker.reply(7).give(Ok(Value::Null));
    assert_eq!(asker.wake.read().unwrap(), 1);
    let late = asker.reply(8);
    drop(asker);
    late.give(Ok(Value::Null));
}

use chrono::Datelike;

use super::{Date, Left, Message, Notice, Said, Way, Words};
use crate::store::activations::Progress;

pub(in crate::web::public::page) static RUSSIAN: Words = Words {
    lang: "ru",
    location: "Филиал",
    help: "Нужна помощь?",
    open_card: "Открыть в маркетплейсе",
    state,
    next,
    notice,
    deadline,
    tally,
};

/// As they stand behind the number of a day.
const MONTHS: [&str; 12] = [
    "января",
    "февраля",
    "марта",
    "апреля",
    "мая",
    "июня",
    "июля",
    "августа",
    "сентября",
    "октября",
    "ноября",
    "декабря",
];

fn state(progress: Progress) -> Said {
    let (headline, sentence) = match progress {
        Progress::Requested => ("Проверяем", "Уточняем состояние этого филиала в маркетплейсе."),
        Progress::Activating => (
            "Подключаем",
            "Это займёт несколько секунд. Подключение продолжится, даже если вы закроете страницу.",
        ),
        Progress::External => (
            "Остался один шаг",
            "Завершите регистрацию, чтобы начать пользоваться приложением.",
        ),
        Progress::Active => ("Подключено", "Всё настроено и готово к работе."),
        Progress::Frozen => (
            "Приостановлено",
            "Пробный или оплаченный период закончился. Чтобы продолжить, оплатите приложение в маркетплейсе.",
        ),
        Progress::NotConnected => (
            "Не подключено",
            "По данным маркетплейса, этот филиал не подключён. Сначала нажмите там кнопку «Подключить».",
        ),
        Progress::Expired => (
            "Подключите ещё раз",
            "Время на завершение подключения истекло. Нажмите кнопку «Подключить» в маркетплейсе ещё раз.",
        ),
        Progress::Failed => (
            "Пробуем снова",
            "Маркетплейс отклонил подключение. Мы уже знаем об этом и повторяем попытки автоматически.",
        ),
    };
    Said { headline, sentence }
}

fn next(progress: Progress, way: Way) -> &'static str {
    match (progress, way) {
        (Progress::Requested | Progress::Activating, _) => "Вам ничего не нужно делать: страница обновится сама.",
        (Progress::Failed, _) => "Вам ничего не нужно делать. Страницу можно закрыть и открыть позже.",
        (Progress::External, Way::Product) => "Завершить регистрацию",
        (Progress::External, Way::Nowhere) => "Продолжите там, где вы регистрировались у нас.",
        (Progress::Active, Way::Product) => "Продолжить",
        (Progress::Active, Way::Card) => "Вернуться в маркетплейс",
        (Progress::Active, Way::Nowhere) => "Эту страницу можно закрыть.",
        (Progress::Frozen, Way::Card | Way::Product) => "Оплатить в маркетплейсе",
        (Progress::Frozen, Way::Nowhere) => "Откройте приложение в маркетплейсе и выберите там тариф.",
        (Progress::NotConnected | Progress::Expired, Way::Nowhere) => {
            "Откройте приложение в маркетплейсе и нажмите «Подключить»."
        }
        (Progress::External | Progress::NotConnected | Progress::Expired, Way::Card | Way::Product) => {
            RUSSIAN.open_card
        }
    }
}

fn notice(notice: Notice) -> Message {
    let goes_on = "Вам ничего не нужно делать: страница сама повторит попытку.";
    let (headline, sentence, next) = match notice {
        Notice::UnknownApplication => (
            "Неизвестное приложение",
            "По этому адресу нет ни одного приложения.",
            "Откройте приложение в маркетплейсе ещё раз.",
        ),
        Notice::NoLocation => (
            "Пока нечего подключать",
            "Эта страница открывается сама, когда вы нажимаете «Подключить» в маркетплейсе.",
            "Откройте приложение в маркетплейсе и нажмите «Подключить».",
        ),
        Notice::Forged => (
            "Подключите ещё раз",
            "Ссылку, по которой вы перешли, не удалось проверить.",
            "Нажмите кнопку «Подключить» в маркетплейсе ещё раз.",
        ),
        Notice::TooOld => (
            "Откройте ещё раз",
            "Эта страница устарела и больше не показывает ход подключения.",
            "Откройте приложение в маркетплейсе ещё раз.",
        ),
        Notice::Throttled => ("Одну минуту", "Сейчас одновременно идёт много подключений.", goes_on),
        Notice::NotNoted => ("Одну минуту", "Не удалось принять ваше подключение.", goes_on),
        Notice::CannotLook => (
            "Одну минуту",
            "Сейчас не удаётся узнать, как идёт подключение, но оно продолжается.",
            goes_on,
        ),
    };
    Message {
        headline,
        sentence,
        next,
    }
}

fn deadline(date: &Date) -> String {
    let zone = if date.zone_known { "" } else { " UTC" };
    let time = date.local.format("%H:%M");
    let (day, month) = (date.local.day(), MONTHS[date.local.month0() as usize]);
    let left = match date.left() {
        Left::Nothing => String::new(),
        Left::Hours(hours) => format!(" (ещё\u{a0}{hours}\u{a0}{})", plural(hours, ["час", "часа", "часов"])),
        Left::Minutes(minutes) => format!(
            " (ещё\u{a0}{minutes}\u{a0}{})",
            plural(minutes, ["минута", "минуты", "минут"])
        ),
    };
    format!("Подключение нужно завершить до {time}{zone} {day} {month}{left}.")
}

fn tally(connected: usize, all: usize) -> String {
    format!("Подключено филиалов: {connected}\u{a0}из\u{a0}{all}")
}

/// The form of a noun after a number: of one, of two to four, of more. It is the last digit that counts, except for
/// eleven to fourteen.
fn plural(number: i64, [one, few, many]: [&'static str; 3]) -> &'static str {
    match (number % 10, number % 100) {
        (_, 11..=14) => many,
        (1, _) => one,
        (2..=4, _) => few,
        _ => many,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDate, TimeDelta};

    use super::*;

    #[test]
    fn a_date_has_its_month_and_its_numbers_in_the_right_form() {
        let local = NaiveDate::from_ymd_opt(2026, 5, 3).and_then(|day| day.and_hms_opt(9, 5, 0));
        let said = |minutes: i64, zone_known: bool| {
            deadline(&Date {
                local: local.expect("a date"),
                zone_known,
                left: TimeDelta::minutes(minutes),
            })
        };
        assert_eq!(said(0, true), "Подключение нужно завершить до 09:05 3 мая.");
        for (minutes, left) in [
            (1, "ещё 1 минута"),
            (2, "ещё 2 минуты"),
            (5, "ещё 5 минут"),
            (11, "ещё 11 минут"),
            (12, "ещё 12 минут"),
            (21, "ещё 21 минута"),
            (74, "ещё 74 минуты"),
            (100, "ещё 1 час"),
            (240, "ещё 4 часа"),
            (719, "ещё 11 часов"),
            (1261, "ещё 21 час"),
        ] {
            let left = left.replace(' ', "\u{a0}");
            assert_eq!(
                said(minutes, false),
                format!("Подключение нужно завершить до 09:05 UTC 3 мая ({left}).")
            );
        }
    }
}

// The commonest passwords and the words that they are made of, in lower case. Digits and signs around a word, and the
// usual substitutions of letters (p4ssw0rd), are seen through by is_common_password(), so only plain forms stand here.
// The list is our own and short: what people choose again and again. Longer lists go into the table
// usher.password_blocklist.
#pragma once
#include <string_view>

namespace usher {

// One word a line would be 800 lines.
// clang-format off
inline constexpr std::string_view common_passwords[] = {
    // keyboard and digits
    "1q2w3e4r", "1q2w3e4r5t", "1q2w3e4r5t6y", "1qaz2wsx", "1qaz2wsx3edc", "q1w2e3r4", "q1w2e3r4t5", "qazwsx", "qazwsxedc", "qwaszx",
    "qweasd", "qweasdzxc", "zaq12wsx", "zaq1zaq1", "123qwe", "qwe123", "123abc", "abc123", "a1b2c3d4", "a1s2d3f4", "147258369",
    "159753", "741852963", "789456123", "987654321", "31415926", "11223344", "112233", "121212", "123123", "123321", "12341234",
    "1234qwer", "12qwaszx", "1234554321", "102030", "101010", "131313", "232323", "696969", "147258", "852456", "951753", "753951",
    // passwords about passwords
    "password", "passwort", "passwords", "passw", "pass", "mypassword", "newpassword", "oldpassword", "secretpassword", "yourpassword",
    "thepassword", "changeme", "changeit", "changethis", "letmein", "letmeinnow", "letmeinplease", "openthedoor", "opensesame", "secret",
    "secrets", "topsecret", "default", "defaultpassword", "guest", "guestpassword", "temp", "temporary", "temppass", "temppassword", "test",
    "tester", "testing", "testtest", "testpassword", "testuser", "user", "username", "userpassword", "login", "loginpassword", "access",
    "accessdenied", "accessgranted", "admin", "administrator", "adminadmin", "adminpassword", "sysadmin", "superuser", "superadmin",
    "root", "rootpassword", "rootroot", "toor", "system", "manager", "master", "masterpassword", "operator", "support", "service", "server",
    "database", "oracle", "postgres", "postgresql", "mysql", "sqlserver", "cisco", "public", "private", "computer", "internet", "network",
    "windows", "microsoft", "google", "facebook", "twitter", "instagram", "linkedin", "youtube", "myspace", "whatsapp", "samsung",
    "apple", "iphone", "android", "nokia", "sony", "playstation", "xbox", "nintendo", "pokemon", "minecraft", "fortnite", "roblox",
    "starcraft", "warcraft", "counterstrike", "callofduty", "whatever", "nothing", "anything", "something", "everything", "unknown",
    "forgot", "forgotpassword", "forgotten", "remember", "rememberme", "idontknow", "iforgot", "donotknow", "nopassword", "nopass",
    "trustno", "trustme", "trustnoone", "welcome", "welcomeback", "welcomehome", "welcometo", "hello", "hellohello", "helloworld",
    "hellokitty", "hello there", "goodbye", "goodmorning", "goodnight", "goodluck", "please", "thankyou", "thanks", "sesame",
    // keyboard words that are no straight runs
    "qwerty", "qwertyu", "qwertyui", "qwertz", "azerty", "asdf", "asdfasdf", "asdfjkl", "asdasd", "asdqwe", "qweqwe", "zxczxc", "zxcasdqwe",
    "qwerasdf", "qwerasdfzxcv", "qwertyqwerty", "poiuytrewq", "mnbvcxz", "lkjhgfdsa",
    // love and people
    "love", "lovelove", "loveme", "lovely", "loveyou", "lover", "lovers", "iloveyou", "iloveu", "ilovehim", "iloveher", "ilovejesus",
    "ilovemyself", "ilovemymom", "ilovemyfamily", "iloveyouforever", "iloveyousomuch", "iloveyoubaby", "iloveyoutoo", "ilovemyself",
    "mylove", "mybaby", "babygirl", "babyboy", "babyface", "baby", "babylove", "bestfriend", "bestfriends", "bestfriendsforever", "friend",
    "friends", "friendship", "forever", "foreverlove", "foreveryoung", "sweetheart", "sweetie", "sweet", "darling", "honey", "angel", "angels",
    "angelina", "princess", "prince", "princesa", "queen", "king", "kingkong", "beautiful", "pretty", "handsome", "gorgeous", "sexy", "sexygirl",
    "hottie", "mother", "father", "mommy", "daddy", "mamama", "mama", "papa", "brother", "sister", "family", "myfamily", "grandma", "children",
    "jesus", "jesuschrist", "jesusislord", "jesuslovesme", "jesussaves", "christ", "christian", "blessed", "blessing", "blessings", "heaven",
    "faith", "grace", "godisgood", "godislove", "praisegod", "praisethelord", "halleluja", "trinity", "savior", "church", "genesis", "gabriel",
    // names
    "michael", "michelle", "jennifer", "jessica", "ashley", "amanda", "andrea", "andrew", "anthony", "nicole", "daniel", "daniela", "danielle",
    "david", "thomas", "robert", "richard", "william", "james", "john", "johnson", "joseph", "joshua", "jordan", "justin", "jonathan",
    "matthew", "mathew", "martin", "mark", "marina", "maria", "mariana", "maggie", "melissa", "monica", "morgan", "natalie", "natasha", "nicholas",
    "oliver", "olivia", "patricia", "patrick", "pauline", "peter", "rachel", "rebecca", "roberto", "samantha", "samuel", "sandra", "sarah",
    "scott", "sebastian", "shannon", "sophie", "spencer", "stephanie", "stephen", "steven", "taylor", "teresa", "tiffany", "tigger",
    "timothy", "travis", "vanessa", "veronica", "victor", "victoria", "vincent", "virginia", "wilson", "zachary", "alexander", "alexandra",
    "alejandra", "alejandro", "alexis", "amber", "angela", "austin", "barbara", "benjamin", "brandon", "brandy", "brittany", "cameron",
    "carlos", "carolina", "caroline", "catherine", "charles", "charlie", "charlotte", "chelsea", "chris", "christina", "christine",
    "christopher", "claudia", "courtney", "crystal", "cristina", "dakota", "diana", "diamond", "dominic", "donald", "dorothy", "edward",
    "elizabeth", "emily", "eric", "fernando", "francesco", "francis", "freddy", "george", "gloria", "gregory", "hannah", "harley", "heather",
    "hunter", "isabella", "jackson", "jasmine", "jason", "jasper", "jeremy", "jessie", "karina", "katherine", "kathryn", "katie", "kenneth",
    "kevin", "kimberly", "kristina", "lauren", "laura", "leonardo", "linda", "lindsay", "louise", "lucky", "madison", "marcus", "margaret",
    // sports, cars, music, films
    "football", "footballer", "soccer", "soccerball", "baseball", "basketball", "volleyball", "hockey", "golf", "golfer", "tennis", "rugby",
    "cricket", "liverpool", "liverpoolfc", "chelseafc", "arsenal", "arsenalfc", "manchester", "manchesterunited", "manunited", "manutd",
    "barcelona", "fcbarcelona", "realmadrid", "juventus", "bayern", "bayernmunchen", "yankees", "lakers", "cowboys", "steelers", "redsox",
    "patriots", "packers", "eagles", "ferrari", "lamborghini", "porsche", "mercedes", "mercedesbenz", "corvette", "mustang", "camaro",
    "chevrolet", "chevy", "toyota", "honda", "yamaha", "suzuki", "kawasaki", "harleydavidson", "ducati", "bmw", "metallica", "slipknot",
    "nirvana", "eminem", "beatles", "thebeatles", "blink", "blinkoneeightytwo", "linkinpark", "greenday", "ironmaiden", "pinkfloyd", "ledzeppelin",
    "rammstein", "starwars", "startrek", "matrix", "thematrix", "superman", "batman", "spiderman", "spider-man", "ironman", "hulk", "avengers",
    "gandalf", "frodo", "lordoftherings", "harrypotter", "hogwarts", "naruto", "dragonball", "pikachu", "mickey", "mickeymouse", "minnie",
    "donald duck", "snoopy", "garfield", "scoobydoo", "spongebob", "spongebobsquarepants", "winnie", "winniethepooh", "simpsons", "homer",
    "southpark", "jamesbond", "rockstar", "rocknroll", "rockandroll", "guitar", "drummer", "music", "dance", "dancing", "dancer", "singer",
    // animals, nature, food, things
    "monkey", "monkeys", "dragon", "dragons", "tiger", "tigers", "lion", "panther", "eagle", "falcon", "hawk", "wolf", "wolves", "bear",
    "butterfly", "dolphin", "dolphins", "shark", "turtle", "horse", "horses", "ponies", "puppy", "puppies", "kitten", "kitty", "cats", "doggie",
    "doggy", "bulldog", "rabbit", "bunny", "chicken", "penguin", "elephant", "animal", "animals", "buster", "buddy", "bailey", "max", "rocky",
    "shadow", "smokey", "pepper", "ginger", "precious", "cookie", "cookies", "chocolate", "chocolat", "strawberry", "cherry", "peaches", "peanut",
    "banana", "orange", "apples", "pumpkin", "cupcake", "candy", "sugar", "cheese", "pizza", "coffee", "cocacola", "pepsi", "budlight", "whiskey",
    "sunshine", "sunflower", "sunset", "sunrise", "sunny", "moonlight", "moon", "stars", "starlight", "rainbow", "rainbows", "summer", "winter",
    "spring", "autumn", "january", "february", "march", "april", "june", "july", "august", "september", "october", "november", "december",
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "christmas", "halloween", "birthday", "happybirthday", "holiday",
    "flower", "flowers", "garden", "forest", "ocean", "island", "beach", "mountain", "river", "thunder", "lightning", "storm", "snowball",
    "snowflake", "snowman", "fire", "firefly", "water", "earth", "nature", "purple", "yellow", "green", "black", "blackcat", "blackbird",
    "silver", "golden", "red", "blue", "bluesky", "white", "pink", "pinkie", "diamonds", "pearl", "ruby", "crystal ball", "money", "moneymaker",
    "moneymoney", "dollar", "million", "millionaire", "business", "freedom", "liberty", "america", "american", "england", "london", "newyork",
    "newyorkcity", "california", "florida", "texas", "canada", "australia", "germany", "deutschland", "france", "italia", "italy", "spain", "espana",
    "mexico", "brasil", "brazil", "russia", "india", "china", "japan", "paris", "berlin", "happy", "happiness", "happyday", "smile", "smiley",
    "cool", "coolguy", "awesome", "amazing", "perfect", "special", "legend", "hero", "superstar", "champion", "winner", "warrior", "soldier", "ranger",
    "hacker", "hacking", "killer", "ninja", "samurai", "pirate", "cowboy", "gangster", "playboy", "player", "gamer", "games", "phoenix", "destiny",
    "dreams", "dreamer", "magic", "merlin", "wizard", "mystery", "maverick", "mercury", "saturn", "jupiter", "explorer", "discovery", "challenger",
    "carwash", "washington", "company", "office", "student", "teacher", "school", "college", "university", "engineer", "doctor", "police",
    "fuckyou", "fuckoff", "fuckme", "fucker", "motherfucker", "asshole", "bitch", "bullshit", "blowme", "bigdick", "pussy", "shithead", "suckit",
    // phrases known from books and comics, the favourites among long passwords
    "correcthorsebatterystaple", "correct horse battery staple", "correct-horse-battery-staple", "thequickbrownfox", "the quick brown fox",
    "thequickbrownfoxjumps", "maytheforcebewithyou", "may the force be with you", "tobeornottobe", "to be or not to be", "thisismypassword",
    "this is my password", "thisisapassword", "thisismynewpassword", "mypasswordispassword", "mypasswordis", "passwordispassword",
    "enterpassword", "enteryourpassword", "passwordispasswort", "supersecretpassword", "verysecretpassword", "verystrongpassword",
    "verylongpassword", "averylongpassword", "strongpassword", "longpassword", "securepassword", "mysecurepassword", "mysecretpassword",
    "donttellanyone", "nobodyknows", "youshallnotpass", "ishallnotpass", "winteriscoming", "imissyousomuch", "onceuponatime", "abracadabra",
    "supercalifragilisticexpialidocious", "loremipsum", "loremipsumdolor", "loremipsumdolorsitamet", "foobar", "foobarbaz", "hunter",
};
// clang-format on

} // namespace usher

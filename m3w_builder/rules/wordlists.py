"""Words that rules count: function words of some languages, and the vocabulary of page furniture.

Our own lists. Those of OBELICS, whose thresholds are applied to them, are of the same kind, not the same.
"""

from typing import Final

# Frequent words without a topic; a text in running sentences has about two in five of them.
STOP_WORD_LISTS: Final = {
    "en": """a about above across after again against all almost along already also although always am among
        an and another any anyone anything are aren't around as at away back be became because been before behind
        being below beside besides between beyond both but by can can't cannot could couldn't despite did didn't do
        does doesn't doing don't done down during each either else enough even ever every everyone everything except
        few first for from further get gets got had hadn't has hasn't have haven't having he he's hence her here hers
        herself him himself his how however i i'd i'll i'm i've if in indeed inside instead into is isn't it it's its
        itself just last least less let like made make many may me might mine more most much must my myself near
        neither never next no nobody none nor not nothing now of off often on once one only onto or other others
        otherwise our ours ourselves out outside over own per perhaps quite rather really same shall she she's
        should shouldn't since so some somebody someone something sometimes soon still such than that that's the
        their theirs them themselves then there there's therefore these they they're they've this those though
        through throughout thus till to together too toward towards under unless unlike until up upon us use used
        very via was wasn't we we're we've well were weren't what what's whatever when whenever where whereas
        wherever whether which while who who's whoever whole whom whose why will with within without won't would
        wouldn't yet you you'll you're you've your yours yourself yourselves""",
    "de": """aber alle allem allen aller alles als also am an andere anderen auch auf aus außer bei beim bereits
        bin bis bist da dabei dadurch dafür dagegen daher damit dann daran darauf darüber darum das dass davon dazu
        dein dem den denn der deren des deshalb dessen die dies diese diesem diesen dieser dieses doch dort du durch
        ein eine einem einen einer eines einige einmal er erst es etwa etwas euch euer für gegen gibt habe haben hat
        hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im immer in indem ins ist ja je
        jede jedem jeden jeder jedes jedoch jetzt kann kein keine keinen können könnte mal man manche mehr mein meine
        mich mir mit müssen muss nach nicht nichts noch nun nur ob oder ohne schon sehr sei sein seine seinem seinen
        seiner seit sich sie sind so sogar solche soll sollen sollte sondern sowie über um und uns unser unsere unter
        viel viele vom von vor während war waren was weil weiter welche welcher wenn wer werden wie wieder will wir
        wird wo wohl worden wurde wurden zu zum zur zwar zwischen""",
    "fr": """à afin ai ainsi alors après as au aucun aucune aussi autre autres aux avait avant avec avez avoir
        beaucoup bien car ce ceci cela celle celles celui ces cet cette ceux chaque chez comme comment contre d'un
        d'une dans de depuis des donc dont du elle elles en encore entre es est et étaient était être eu eux fait
        font fut hors il ils je jusqu l'on la là laquelle le lequel les leur leurs lors lorsque lui ma mais me même
        mêmes mes moi moins mon ne ni non nos notre nous on ont ou où par parce pas pendant peu peut plus plusieurs
        pour pourquoi puis qu'il qu'elle qu'un quand que quel quelle quelles quelque quelques quels qui quoi sa sans
        se selon sera ses seulement si sien soit son sont sous sur ta te tes toi ton tous tout toute toutes très tu
        un une vers vos votre vous y c'est s'est n'est d'autres""",
    "es": """a acá además ahí al algo algún alguna algunas alguno algunos allí ante antes aquel aquella aquellos
        aquí así aún aunque bajo bien cada casi como cómo con contra cual cuál cuales cuando cuándo cuanto de del
        desde donde dónde dos durante e el él ella ellas ellos en entonces entre era eran eres es esa esas ese eso
        esos está esta estaba están estar estas este esto estos fue fueron ha había habían han has hasta hay he la
        las le les lo los luego más me menos mi mí mientras mis mismo misma mucho muchos muy nada ni ningún ninguna
        no nos nosotros nuestra nuestro o os otra otras otro otros para pero poco por porque pues que qué quien quién
        se sea según ser será si sí sido siempre sin sino sobre solo sólo son su sus también tan tanto te tiene
        tienen toda todas todavía todo todos tras tu tú un una unas uno unos usted ya y yo""",
    "it": """a abbiamo ad agli ai al alla alle allo allora altra altre altri altro anche ancora aveva avevano
        avere c'è che chi ci ciò cioè col come con contro così cosa cui da dagli dai dal dall dalla dalle dallo degli
        dei del dell della delle dello dentro di dopo dove due dunque durante e è ed era erano essere fa fino fra fu
        già gli ha hai hanno ho i il in infatti io la le lei li lo loro lui ma me mentre mi mia mio molti molto ne
        negli nei nel nell nella nelle nello noi non nostra nostro o ogni oltre oppure per perché però più poi
        possono prima può qual quale quali quando quanto quella quelle quelli quello questa queste questi questo qui
        quindi sarà se sei sempre senza si sia sono sopra sotto stata stati stato su sua sue sugli sui sul sulla
        sulle suo suoi tanto te ti tra tu tutta tutte tutti tutto un una uno verso vi voi""",
    "pt": """a à ainda além algo alguém algum alguma algumas alguns ante antes ao aos após aquela aquele aqueles
        aqui as às assim até cada com como contra da daquele das de dela dele deles depois desde dessa desse desta
        deste do dos durante e é ela elas ele eles em enquanto entre era eram essa essas esse esses esta está estão
        estas estava este estes eu foi foram há isso isto já la lhe lhes lo logo mais mas me mesma mesmo meu minha
        muito muitos na não nas nem nenhum nessa nesse nesta neste no nos nós nossa nosso num numa o onde os ou outra
        outras outro outros para pela pelas pelo pelos pode pois por porque porém quais qual quando quanto que quem
        se seja sem sempre ser será seu seus si sido sob sobre sua suas só tal também tanto te tem têm ter tinha toda
        todas todo todos tu tudo um uma umas uns você vocês""",
    "nl": """aan achter af al alle alleen alles als altijd andere ben bij daar daarom dan dat de der deze die dit
        doch doen door dus een eens en er ge geen geweest haar had hadden hebben heb heeft hem het hier hij hoe hun
        iemand iets ik in is ja je jij jullie kan kon kunnen maar me meer men met mij mijn moet moeten na naar niet
        niets nog nu of om omdat onder ons onze ook op over reeds sinds te tegen tijdens toch toen tot tussen u uit
        uw van vanaf veel voor want waren was wat we weer wel werd werden wie wij wil worden wordt zal ze zelf zich
        zij zijn zo zoals zonder zou zouden""",
    "sv": """alla allt än att av blev bli blir både då där de dem den denna deras dess dessa det detta dig din
        ditt du efter eller en er ett för från få får genom ha hade han hans har henne hennes hon honom hos hur här i
        icke ingen inom inte jag kan kunde man med mellan men mig min mot mycket när nu någon något några ni och
        också om oss på samma sedan ska skulle sig sin sina sitt som så till under upp ut utan vad var vara vi vid
        vilka vilken vår än är över även""",
    "da": """af alle alt anden at blev blive bliver da de dem den denne der deres det dette dig din disse dog du
        efter eller en end er et for fordi fra før få får gennem ham han hans har havde hende hendes her hos hun hvad
        hvis hvor hvordan i ikke ind jeg jo kan kun kunne man mange med meget mellem men mig min mod mere når ned
        noget nogle nu og også om op os over på samme selv ser sig sin sine skal skulle som så til under ud uden var
        ved vi vil ville være været""",
    "no": """alle andre at av ble bli blir bare både da de dem den denne der deres det dette deg din disse du
        eller en enn er et etter for fordi fra før få får gjennom ha hadde han hans har henne hennes her hos hun hva
        hvis hvor hvordan hvorfor i ikke ingen inn jeg kan kunne man mange med meg meget mellom men mer min mot når
        ned noe noen nå og også om opp oss over på samme seg selv si sin sine skal skulle som så til under ut uten
        var vært ved vi vil ville være""",
    "pl": """a aby albo ale ani aż bardzo bez bo by być był była było były będzie będą choć ci co czy czyli dla
        do dlatego gdy gdyż gdzie go i ich ile im inne innych iż ja jak jako jakie jeden jednak jego jej jest jestem
        jeśli jeszcze już każdy kiedy kto która które którego której który których którzy lub ma mają mi między mnie
        mogą może można na nad nam nas nie nich nim niż o od on ona one oni oraz po pod podczas ponieważ przed przez
        przy raz są się sobie swoje ta tak taki także tam te tego tej ten też to tu tych tylko tym u w we więc
        wszystko wszystkie z za ze że żeby""",
    "ru": """а без более больше будет будут бы был была были было быть в вам вас весь во вот все всё всего всех вы
        где да даже для до его ее её если есть еще ещё же за здесь и из или им их к как какие какой когда которая
        которого которой которые который которых кто ли лишь между меня мне много может можно мы на над нам нас не
        него нее ней нет ни них но о об однако он она они оно от очень перед по под после потом потому при про раз с
        сам своей свои своих себя сейчас со так также такие такой там тем теперь то того тоже той только том тот ту
        ты у уже хотя чего чем через что чтобы эта эти этих это этого этой этом этот я""",
}
STOP_WORDS_OF: Final = {code: frozenset(words.split()) for code, words in STOP_WORD_LISTS.items()}

# OBELICS (build_obelics/13_final_processing.py) has 40 such words; these are ours.
_SPAM = """account accounts click comment comments contact cookie cookies copyright download email facebook follow
    instagram legal like linkedin loading log logged login logout newsletter password pinterest policy post privacy
    reddit register reply retweet rss sharing share sign sign-in sign-up signup sitemap subscribe subscribed
    subscription terms tiktok tweet tweets twitter unsubscribe username website whatsapp youtube"""
SPAM_WORDS: Final = frozenset(_SPAM.split())

# C4's code (tensorflow_datasets, c4_utils.py): lines with one of these are dropped.
POLICY_PHRASES: Final = (
    *("terms of use", "privacy policy", "cookie policy"),
    *("uses cookies", "use of cookies", "use cookies"),
)

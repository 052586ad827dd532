/** The library has no such call. */
final class Unsupported extends RuntimeException {
    Unsupported(String why) {
        super(why);
    }
}

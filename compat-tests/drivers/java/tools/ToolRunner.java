import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command line tools one after the other in one JVM, since most of their time is the JVM's start.
 *
 * <p>Each line of standard input is a call: base64 of "CLASS NUL STDIN NUL ARG NUL ARG...". Its answer is a line
 * "EXITCODE OUT ERR", OUT and ERR in base64 ("-" for nothing).
 */
public final class ToolRunner {
    /** Ends a tool that wants to end the JVM. */
    private static final class Exited extends RuntimeException {
        Exited() {
            super("exit", null, false, false);
        }
    }

    /** A stream whose target can be changed: libraries keep the System.out that they find first. */
    private static final class Switch extends OutputStream {
        private ByteArrayOutputStream target = new ByteArrayOutputStream();

        @Override
        public synchronized void write(int b) {
            target.write(b);
        }

        @Override
        public synchronized void write(byte[] b, int from, int n) {
            target.write(b, from, n);
        }

        synchronized byte[] take() {
            byte[] taken = target.toByteArray();
            target = new ByteArrayOutputStream();
            return taken;
        }
    }

    private static Integer exitCode;
    private static final List<Runnable> hooks = new ArrayList<>();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream answers = System.out;
        Switch out = new Switch();
        Switch err = new Switch();
        System.setOut(new PrintStream(out, true, "UTF-8"));
        System.setErr(new PrintStream(err, true, "UTF-8"));
        Exit.Procedure end = (code, message) -> {
            // Some tools catch whatever comes and exit again with another code: the first is meant.
            if (exitCode == null) {
                exitCode = code;
            }
            throw new Exited();
        };
        Exit.setExitProcedure(end);
        Exit.setHaltProcedure(end);
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook)); // the JVM outlives the tool
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] call = new String(Base64.getDecoder().decode(line), StandardCharsets.UTF_8).split("\0", -1);
            int code = run(call[0], call[1], Arrays.copyOfRange(call, 2, call.length));
            end();
            System.out.flush();
            System.err.flush();
            answers.println(code + " " + encode(out.take()) + " " + encode(err.take()));
            answers.flush();
        }
    }

    private static String encode(byte[] bytes) {
        return bytes.length == 0 ? "-" : Base64.getEncoder().encodeToString(bytes);
    }

    private static int run(String tool, String stdin, String[] args) throws Exception {
        exitCode = null;
        InputStream text = new ByteArrayInputStream(stdin.getBytes(StandardCharsets.UTF_8));
        System.setIn(text);
        try {
            Class<?> type = Class.forName(tool);
            forget(type);
            type.getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException e) {
            if (!(e.getCause() instanceof Exited)) {
                e.getCause().printStackTrace();
                return exitCode == null ? 1 : exitCode;
            }
        }
        return exitCode == null ? 0 : exitCode;
    }

    /** What the tool would do at the JVM's end, such as waiting for what it sent. */
    private static void end() throws InterruptedException {
        for (Runnable hook : hooks) {
            Thread running = new Thread(hook, "end of a tool");
            running.setDaemon(true);
            running.start();
            running.join(10_000);
        }
        hooks.clear();
    }

    /** The console consumer counts in a static field, for it expects to run once. */
    private static void forget(Class<?> tool) throws IllegalAccessException {
        for (Field f : tool.getDeclaredFields()) {
            if (f.getName().equals("messageCount")) {
                f.setAccessible(true);
                f.setInt(null, 0);
            }
        }
    }
}

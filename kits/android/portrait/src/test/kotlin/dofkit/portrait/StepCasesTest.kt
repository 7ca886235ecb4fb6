// Not compiled here: JUnit's entry to `StepCases`, for `gradle :portrait:test`.

package dofkit.portrait

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Test

class StepCasesTest {
    @Test
    fun everyStepIsTheBundles() {
        val cases = StepCases(File("src/main/assets/portrait"), File("src/test/resources/portrait"))
        assertEquals(emptyList<String>(), cases.replay())
    }
}
